"""From documents to units: parameters, expressions, selection and templates. Pure: no I/O, no clock, no environment."""
