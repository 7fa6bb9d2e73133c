"""Models, data sets, passes and metrics of the user's own: told of by `--use`, or brought by an installed package."""
