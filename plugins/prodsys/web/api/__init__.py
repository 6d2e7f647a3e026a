"""REST of the production manager under ``/prodsys/api/v1``; its routes hold no rule and call `actions`."""
