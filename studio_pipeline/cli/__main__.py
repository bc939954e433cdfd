"""``python -m studio_pipeline.cli``."""

from studio_pipeline.cli.main import main

main()
