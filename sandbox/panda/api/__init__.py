"""The API as clients see it: who calls, with which arguments, what is answered."""
