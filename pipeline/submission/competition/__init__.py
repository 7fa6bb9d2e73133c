"""Competitions: one committed JSON Schema each, which limits submissions and says how they are compared."""
