"""Lists: filtering, sorting, field selection and both kinds of pagination."""
