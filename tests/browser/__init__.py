"""The page in real Chromium, against real servers."""
