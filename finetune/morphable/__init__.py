"""A licensed morphable model, where the user has one, fitted by analysis by synthesis."""
