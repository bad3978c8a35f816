"""Making a driver for each mode of each site, from what its document says."""
