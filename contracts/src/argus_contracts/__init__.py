"""What may be said in Argus: events, commands, questions and their answers, subjects. Shapes and names, no I/O."""
