"""Write tables of many rows: as columns, as JSON, and page by page."""
