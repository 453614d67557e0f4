"""`python -m paceline_api.jobs`: works off what the API has put into its outbox, until told to stop.

A process of its own, beside the API's pods: a slow mail server holds up no worker that is to go, and its three
connections to PostgreSQL are not multiplied by workers. Run one or more. Each job runs at least once: one whose process
dies is begun anew by another, or by the next, and then a mail may arrive twice.
"""
