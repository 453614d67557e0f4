"""The tuning document: its model, its bounds, and the order in which a change is carried out."""
