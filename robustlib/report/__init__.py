"""Tables, figures, verdicts and executed notebooks, all made from records."""
