"""Recipes for tables: which network, and how it is trained, as data."""

from jaxmlp.recipes.planning import RecipePlan as RecipePlan
from jaxmlp.recipes.planning import RecipeSettings as RecipeSettings
from jaxmlp.recipes.planning import fit_plan as fit_plan
from jaxmlp.recipes.planning import initial_params as initial_params
from jaxmlp.recipes.planning import make_optimizer as make_optimizer
from jaxmlp.recipes.planning import make_plan as make_plan
from jaxmlp.recipes.planning import recipe_settings as recipe_settings
from jaxmlp.recipes.recipe import RECIPES as RECIPES
from jaxmlp.recipes.recipe import Recipe as Recipe
from jaxmlp.recipes.recipe import get_recipe as get_recipe
