"""What leaves the pipeline in the formats of others: one file a format."""
