"""Looking at policies: evaluation, video, export."""
