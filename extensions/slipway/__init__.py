"""What Copier alone cannot do for the template: catalogue, matrix, previews, and a wizard."""
