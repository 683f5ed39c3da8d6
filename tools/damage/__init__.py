"""Every way in which the certificate's check is tested: damage that changes answers and keeps the file in one piece."""
