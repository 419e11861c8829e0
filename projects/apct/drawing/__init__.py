"""Pictures of parses: people, parts and states, legible at any size."""
