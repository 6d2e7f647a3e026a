"""What people write becomes a RequestSpec, or a fault per cell."""
