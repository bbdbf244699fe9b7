"""What `bench/run` is made of: servers and shops that end with it, works that measure, a report."""
