"""How objects differ from what is declared: our own comparison is the filter, the server's dry run the judge."""
