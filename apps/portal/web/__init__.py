"""Pages that compose what the other apps know: home, approval queue, search, health."""
