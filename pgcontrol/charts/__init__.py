"""Charts as SVG, for the report's page and for files, with one style sheet and without a library."""
