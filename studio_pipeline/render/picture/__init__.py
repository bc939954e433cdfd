"""What is done to a finished picture, or drawn over it: colour, optics, manners of drawing, shapes. Linear light."""
