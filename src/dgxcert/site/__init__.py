"""The site page: a results folder as static HTML, one page for all machines and one for each of them."""
