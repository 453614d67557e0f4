"""`paceline-operator trial`, which `helm test` runs: a value of running pods is changed and taken back, under load."""
