"""The challenge's score, its files and the submission. None of it needs torch."""
