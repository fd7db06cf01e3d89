// The one list of all families.
