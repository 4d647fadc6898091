"""The owner's robot: polls the enquiries that wait for him, and answers them from his own files or tables."""
