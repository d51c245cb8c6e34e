"""From rows of any origin to checked bars: parsing, validation, quality, resampling, and bars made from a seed."""
