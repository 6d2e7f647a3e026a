"""What stands in for the grid on one machine."""
