"""A page to play with a network on: it is trained, looked into, and explained while one watches."""

from jaxmlp.play.app import create_page as create_page
