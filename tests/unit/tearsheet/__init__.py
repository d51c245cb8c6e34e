"""Tests of src/tearsheet."""
