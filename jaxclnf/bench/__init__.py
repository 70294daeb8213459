"""How fast fits are: cases to time, what the machine reaches, a table, JSON and a plot of it."""
