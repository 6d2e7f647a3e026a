"""Published requests become DAGs: layouts and the versioned bundle."""
