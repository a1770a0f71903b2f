"""The report of a sweep: one HTML file that needs nothing else, from the rows of results."""
