"""A fleet that exists on paper, request by request, under the very tuning core that runs in production."""
