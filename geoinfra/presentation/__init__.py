"""What people look at: drawings and pages made of stored rows."""
