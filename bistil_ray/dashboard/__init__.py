"""A run as a page to look at: one HTML file that asks for nothing from outside, read from files alone, without ray."""
