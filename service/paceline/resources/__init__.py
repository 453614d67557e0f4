"""What has a capacity that can change while it runs: limiters, pools, caches, and their registry."""
