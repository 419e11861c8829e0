"""Action recognition from video and skeleton. Importing it registers the plugins."""
