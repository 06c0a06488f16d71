"""Who may do what on every API: rules, who has them, and what each request must pass.

`rules` decides, purely; `grants` knows who has which rules and follows the store; `builtin` is there from the start;
`gate` is what the edge of each API asks; `traffic` bounds what a caller has going at once.
"""
