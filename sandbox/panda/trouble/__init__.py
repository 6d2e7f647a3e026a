"""What shall go wrong: rules, whom they mean, what they do, and the journal of it."""
