"""The content-addressed store: what was computed, under which key, and the bytes that came out."""
