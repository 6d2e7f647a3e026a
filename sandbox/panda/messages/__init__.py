"""What is pushed to listeners: the outbox and its STOMP door."""
