"""Charts as SVG, for the report's page and for files: drawn here, with one style sheet and without a library."""
