"""Catalogues as people meet them: a look at a shop's file, a mapping proposed in words, a file to edit, a check."""
