"""The border to PanDA: task maps, client, feed of statuses."""
