"""The first process of a pod: checks what was asked, starts agent and arbiter, ends with them."""
