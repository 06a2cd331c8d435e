"""`python -m facetmill` is `facetmill`."""

from facetmill.cli import main

if __name__ == "__main__":
    main()
