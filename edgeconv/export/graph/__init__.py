"""Graph passes: from whatever a converter leaves to one clean form, and from that to the forms that run."""
